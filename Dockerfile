# Pages in a container: docker build -t pages . (deploy/compose.yaml puts nginx in front). docs/install.md says what of this was
# run and what was not.

ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
WORKDIR /src
# Apart from the code: they change less often.
COPY requirements.lock ./
RUN python -m venv /opt/pages/venv \
 && /opt/pages/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.lock
COPY . .
# setuptools is of the lock file too; nothing else is fetched here.
RUN /opt/pages/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:${PYTHON}-slim
# Debian packages to add: --build-arg PACKAGES=postgresql-client for dumps of a database.
ARG PACKAGES=""
# A number that hosts rarely have a user for. nginx, in its own container, reads data/ as another user: so it is for all.
RUN if [ -n "$PACKAGES" ]; then \
        apt-get update && apt-get install -y --no-install-recommends $PACKAGES && rm -rf /var/lib/apt/lists/*; \
    fi \
 && useradd --uid 10001 --user-group --home-dir /var/lib/pages --no-create-home --shell /usr/sbin/nologin pages \
 && install -d -m 0755 /etc/pages \
 && install -d -o pages -g pages -m 0755 /var/lib/pages /var/lib/pages/data \
 && install -d -o pages -g pages -m 0700 /var/lib/pages/backups
COPY --from=build /opt/pages/venv /opt/pages/venv
# The environment overrides /etc/pages/config.toml, which may be mounted for all other settings. PAGES_ADMIN_PASS (or
# admin_pass there) has to be given: production refuses "admin".
ENV PATH=/opt/pages/venv/bin:$PATH \
    PYTHONUTF8=1 \
    PAGES_ENVIRONMENT=production \
    PAGES_HOST=0.0.0.0 \
    PAGES_TRUSTED_PROXIES=unix \
    PAGES_DATA_DIR=/var/lib/pages/data \
    PAGES_BACKUP_DIR=/var/lib/pages/backups
WORKDIR /etc/pages
USER pages
VOLUME ["/var/lib/pages/data", "/var/lib/pages/backups"]
EXPOSE 1323
# Also on a host of its own (admin_hosts), with no password.
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s CMD ["pages", "doctor", "--only", "service"]
# gunicorn becomes process 1: it reaps, finishes uploads at SIGTERM (60 s; docker stop -t 75) and reloads at SIGHUP.
STOPSIGNAL SIGTERM
CMD ["pages", "serve"]
