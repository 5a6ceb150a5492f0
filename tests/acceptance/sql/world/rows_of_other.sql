INSERT INTO secrets (id, uid, secret) VALUES (1, 'neighbour', 'CANARY-OTHER');
