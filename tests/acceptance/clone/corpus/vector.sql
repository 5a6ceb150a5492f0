-- Columns of pgvector's types with its indexes and their options.
-- needs: vector
CREATE TABLE items (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    embedding pgtwin_ext.vector(3) NOT NULL,
    loose pgtwin_ext.vector,
    half pgtwin_ext.halfvec(3),
    sparse pgtwin_ext.sparsevec(5),
    bits bit(3),
    fallback pgtwin_ext.vector(2) DEFAULT '[0,0]',
    several pgtwin_ext.vector(2)[]
);
CREATE INDEX by_l2 ON items USING hnsw (embedding pgtwin_ext.vector_l2_ops) WITH (m = 8, ef_construction = 32);
CREATE INDEX by_cosine ON items USING hnsw (embedding pgtwin_ext.vector_cosine_ops);
CREATE INDEX by_half ON items USING hnsw (half pgtwin_ext.halfvec_l2_ops);
CREATE INDEX by_cast ON items USING hnsw ((embedding::pgtwin_ext.halfvec(3)) pgtwin_ext.halfvec_ip_ops);
CREATE INDEX by_bits ON items USING hnsw (bits pgtwin_ext.bit_hamming_ops) WHERE id > 0;
INSERT INTO items (embedding, loose, half, sparse, bits, several)
SELECT format('[%s,%s,1]', n, n * 2)::pgtwin_ext.vector, format('[%s]', n)::pgtwin_ext.vector,
    format('[%s,0,0]', n)::pgtwin_ext.halfvec, '{1:0.5,3:2}/5', B'101', ARRAY['[1,2]'::pgtwin_ext.vector]
FROM generate_series(1, 20) n;
CREATE INDEX by_list ON items USING ivfflat (embedding pgtwin_ext.vector_ip_ops) WITH (lists = 2);
CREATE FUNCTION nearest(wanted pgtwin_ext.vector) RETURNS SETOF bigint LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT id FROM items ORDER BY embedding OPERATOR(pgtwin_ext.<->) wanted LIMIT 3;
END;
-- then: INSERT INTO items (embedding) VALUES ('[0,0,0]') RETURNING id, fallback::text
-- then: INSERT INTO items (embedding) VALUES ('[0,0]')
-- then: SELECT nearest('[1,2,1]')
