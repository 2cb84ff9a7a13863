# syntax=docker/dockerfile:1
# One static program in an image with nothing else. `e2e/cluster/image` makes the same without Docker.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# With a target named, the flag is for the program alone, not for the macros that the compiler loads.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    host=$(rustc -vV | sed -n 's/^host: //p') \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --locked --release --package tandem --target "$host" \
    && install -m 755 "target/$host/release/tandem" /tandem \
    && strip --strip-debug /tandem

FROM scratch
COPY --from=build /tandem /tandem
COPY LICENSE /LICENSE
LABEL org.opencontainers.image.title="tandem"
LABEL org.opencontainers.image.description="A disk-backed Redis-protocol server whose masters merge, and its operator"
LABEL org.opencontainers.image.licenses="Apache-2.0"
# Clients, links between instances, metrics.
EXPOSE 6379 8379 9121
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/tandem"]
