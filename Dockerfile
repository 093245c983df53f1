# The gateway as an image: a virtual environment from the lock file, no shell, no root.
#   docker build -t bearergate .
#   docker run --rm -p 8000:8000 -e ISSUER=... -e CLIENT_ID=... -e CLIENT_SECRET=... -e UPSTREAM_URL=... bearergate

ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN ["python", "-m", "venv", "--without-pip", "/opt/bearergate"]
COPY requirements/runtime.lock requirements/runtime.lock
RUN ["pip", "--python", "/opt/bearergate", "install", "--no-cache-dir", "--require-hashes", "--only-binary", ":all:", "-r", "requirements/runtime.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN ["pip", "--python", "/opt/bearergate", "install", "--no-cache-dir", "--no-deps", "."]

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/bearergate /opt/bearergate
ENV PATH=/opt/bearergate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /
EXPOSE 8000
# Liveness, not readiness: a provider that is down is no reason to restart the gateway.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('ADMIN_PORT', '8001') + '/livez', timeout=2)"]
ENTRYPOINT ["bearergate"]
CMD ["run"]
