# syntax=docker/dockerfile:1
#
# hallpass in an image: `docker build --tag hallpass .` (or `make image`).
#
#   docker run --volume "$PWD/hallpass.toml:/etc/hallpass/hallpass.toml:ro" \
#     --volume hallpass:/var/lib/hallpass --publish 6432:6432 --publish 127.0.0.1:8432:8432 hallpass
#
# The volume holds the store, the server's key and the audit: what a restart must not lose.
# Listeners must be on 0.0.0.0 to be reached from outside the container. Whoever runs it should ask
# /readyz on the ops port, as docker-compose.yml does: which port that is, is in the configuration.

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin hallpass \
    && install -D target/release/hallpass /out/hallpass

FROM debian:bookworm-slim
# The roots that `tls = "verify-full"` trusts where a target names no CA.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 hallpass \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/hallpass --shell /usr/sbin/nologin hallpass \
    && install --directory --owner hallpass --group hallpass --mode 0700 /var/lib/hallpass
COPY --from=build /out/hallpass /usr/local/bin/hallpass
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
VOLUME /var/lib/hallpass
# Proxy, API, metrics and health.
EXPOSE 6432 8432 9432
ENTRYPOINT ["hallpass"]
CMD ["serve", "--config", "/etc/hallpass/hallpass.toml"]
