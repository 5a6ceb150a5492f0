# Both stages are of one image: the environment that is copied links to its Python.
FROM python:3.13-slim-trixie AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
COPY pyproject.toml requirements.lock ./
# What the service needs and no more; versions and hashes are those of the lock.
RUN uv venv --no-project /opt/pgtwin \
    && uv pip install --python /opt/pgtwin/bin/python --compile-bytecode --link-mode copy \
        --only-binary :all: --require-hashes \
        --requirements pyproject.toml --constraints requirements.lock
COPY README.md LICENSE ./
COPY core core
COPY memory memory
COPY migrations migrations
RUN uv build --wheel --require-hashes --build-constraints requirements.lock --out-dir dist \
    && uv pip install --python /opt/pgtwin/bin/python --compile-bytecode --no-deps dist/*.whl

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="pgtwin" \
      org.opencontainers.image.description="Database-as-a-service in one PostgreSQL: every database is a twin, prod and test" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# PostgreSQL's programs want a name for the uid; the home is the embedded server's data folder.
RUN useradd --uid 10001 --user-group --no-log-init --shell /usr/sbin/nologin \
        --home-dir /var/lib/pgtwin --create-home pgtwin
COPY --from=build /opt/pgtwin /opt/pgtwin
ENV PATH=/opt/pgtwin/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PGTWIN_DATA_DIR=/var/lib/pgtwin \
    PGTWIN_HOST=0.0.0.0 \
    PGTWIN_PORT=7990
WORKDIR /var/lib/pgtwin
USER 10001:10001
EXPOSE 7990
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 CMD ["pgtwind", "health"]
ENTRYPOINT ["pgtwind"]
CMD ["serve"]
