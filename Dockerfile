# The operator. BASE is any image with Python 3.11 or newer as python3, the same for building and for running.
ARG BASE=docker.io/library/python:3.11-slim

# What the operator depends on, in a layer of its own: it changes seldom. pip stays outside of the environment.
FROM ${BASE} AS dependencies
WORKDIR /build
RUN groupadd --gid 65532 maas \
 && useradd --uid 65532 --gid maas --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin maas
RUN python3 -m venv pip && python3 -m venv --without-pip /opt/maas
COPY requirements.txt ./
RUN pip/bin/pip --python /opt/maas/bin/python3 install --quiet --no-cache-dir --no-compile \
        --require-hashes --requirement requirements.txt \
 && /opt/maas/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/maas

# The operator itself, installed into /project instead of /, so that it can be copied by itself.
# The readme that the package's metadata wants is for people, not for an image.
FROM dependencies AS project
COPY pyproject.toml ./
COPY operator ./operator
RUN : > README.md \
 && pip/bin/pip --python /opt/maas/bin/python3 install --quiet --no-cache-dir --no-compile --no-deps --root /project . \
 && /opt/maas/bin/python3 -m compileall -q -s /project --invalidation-mode unchecked-hash /project

FROM ${BASE}
COPY --from=dependencies /etc/passwd /etc/group /etc/
COPY --from=dependencies /opt/maas /opt/maas
COPY --from=project /project /
# Bytecode is in the image; the root file system may be read-only.
ENV PATH=/opt/maas/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["maas-operator"]
