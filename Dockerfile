# Two targets from one file: `server` (no torch) and `worker`. Both install the versions of requirements.lock.
#   docker build --target server -t prunescope-server .
#   docker build --target worker -t prunescope-worker .
FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PRUNESCOPE_HOME=/data
RUN useradd --create-home --uid 10001 prunescope && mkdir /data && chown prunescope /data
WORKDIR /app
COPY pyproject.toml requirements.lock README.md LICENSE ./

FROM base AS server
# The PNG of a heat map is drawn with these letters.
RUN apt-get update && apt-get install -y --no-install-recommends fonts-dejavu-core && rm -rf /var/lib/apt/lists/*
COPY . .
RUN python -m pip install --constraint requirements.lock --editable .
USER prunescope
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["prunescope", "server", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS worker
COPY . .
RUN python -m pip install --constraint requirements.lock --editable '.[worker]'
USER prunescope
VOLUME /data
CMD ["prunescope", "worker"]
