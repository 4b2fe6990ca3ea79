#!/usr/bin/env bash
# Packs this project as a product, signs it, carries it over an air gap in one file, and verifies
# and runs it on the far side. README.md, beside this file, says what happens and why.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: run.sh [--tamper] [--keep] [--binary PATH]

  --tamper       flip one byte of the archive before it is imported; ends with exit code 4
  --keep         keep the working directory and say where it is
  --binary PATH  deliver this static binary, instead of building one
EOF
}

tamper=false
keep=false
binary=
while [ $# -gt 0 ]; do
  case $1 in
    --tamper) tamper=true ;;
    --keep) keep=true ;;
    --binary)
      binary=${2:?--binary needs a path}
      binary=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/ocm-deliver.XXXXXX")
server=

clean_up() {
  local code=$?
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if $keep; then
    echo "kept: $work"
  else
    rm -rf "$work"
  fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

heading() { printf '\n== %s\n' "$*"; }
fail() {
  echo "run.sh: $*" >&2
  exit 1
}

# Runs a command and prints it first, as one would type it.
run() {
  printf '+ %s\n' "$*"
  "$@"
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi |
    cut -d ' ' -f 1
}

bytes() { wc -c <"$1" | tr -d ' '; }

# Prints the digests that a manifest or an index names, in their order.
digests() { grep -o '"digest": *"sha256:[0-9a-f]*"' "$1" | sed 's/.*sha256:\([0-9a-f]*\)"/\1/'; }

# Flips the lowest bit of the byte at an offset.
flip() {
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
  printf '%b' "\\0$(printf '%o' $((byte ^ 1)))" |
    dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# The far side has the archive and the public key, and nothing else.
near=near
disk=disk
far=far

build() {
  heading "Build"
  if [ -z "$binary" ]; then
    echo "+ cargo xtask dist"
    binary=$(cd "$root" && cargo xtask dist)
  fi
  mkdir -p "$work/bin" "$work/$near/product" "$work/$disk" "$work/$far"
  cp "$binary" "$work/bin/ocm"
  PATH=$work/bin:$PATH
  cd "$work"
  echo "+ cargo xtask image --binary bin/ocm --output $near/product/image.tar.gz"
  (cd "$root" && cargo xtask image --binary "$work/bin/ocm" --output "$work/$near/product/image.tar.gz")
  cp "$binary" "$near/product/ocm"
  cp "$root/README.md" "$here/component-constructor.yaml" "$near/product/"
  cp -R "$root/docs" "$root/deploy/charts/ocm-registry" "$near/product/"
  version=$(ocm --version | cut -d ' ' -f 2)
  case $(uname -m) in
    x86_64 | amd64) architecture=amd64 ;;
    aarch64 | arm64) architecture=arm64 ;;
    *) architecture=$(uname -m) ;;
  esac
  name=ocm.software/ocm-rs
  product=$name/product:$version
  # Each run of ocm adds a line about itself.
  export OCM_STATS=$work/stats.jsonl
}

pack() {
  heading "Near side: pack, sign, write the disk"
  run ocm create keypair $near/release.key $near/release.pub
  run ocm add cv -r $near/archive -c $near/product/component-constructor.yaml \
    VERSION="$version" ARCHITECTURE="$architecture"
  run ocm sign cv --signature release --private-key $near/release.key "$near/archive//$product"
  run ocm transfer cv --recursive "$near/archive//$product" $disk/product.tar
}

# Flips a bit in the middle of the binary, as it stands in the archive.
damage() {
  heading "Somebody flips one bit on the disk"
  local blob header offset
  blob=blobs/sha256.$(sha256 $near/product/ocm)
  header=$(LC_ALL=C grep -abo "$blob" $disk/product.tar | sed -n '1s/:.*//p')
  [ -n "$header" ] || fail "the archive has no $blob"
  # The content begins after the header of 512 bytes.
  offset=$((header + 512 + $(bytes $near/product/ocm) / 2))
  flip $disk/product.tar $offset
  echo "at offset $offset of $disk/product.tar, in $blob"
}

serve() {
  heading "Far side: a registry on a machine that has nothing else"
  cp $near/release.pub $far/release.pub
  echo "+ ocm serve $far/registry --listen 127.0.0.1:0 &"
  ocm serve $far/registry --listen 127.0.0.1:0 2>$far/serve.log &
  server=$!
  url=
  for _ in $(seq 200); do
    url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' $far/serve.log)
    [ -z "$url" ] || break
    kill -0 "$server" 2>/dev/null || fail "the registry did not start: $(cat $far/serve.log)"
    sleep 0.05
  done
  [ -n "$url" ] || fail "the registry does not say where it listens"
  cat $far/serve.log
}

import() {
  heading "Far side: import"
  run ocm transfer ctf $disk/product.tar "$url" 2>&1 | tee import.log
}

# The import of a damaged archive has to fail, name what is damaged, and leave no product behind.
refuse() {
  local code=0
  import || code=$?
  [ "$code" = 4 ] || fail "the import of a damaged archive ended with exit code $code instead of 4"
  run ocm get cv "$url//$product" && fail "the product is on the far side"
  heading "The import was refused with exit code 4, as it has to be"
  exit 4
}

verify() {
  heading "Far side: verify with the public key, and look"
  run ocm verify cv --signature release --public-key $far/release.pub "$url//$product" 2>&1 |
    tee verify.log
  run ocm list "$url"
  run ocm get cv --recursive -o tree "$url//$product"
  run ocm get resources "$url//$name/cli:$version"
}

use() {
  heading "Far side: use it"
  run ocm download resource "$url//$name/cli:$version" ocm --output $far/ocm
  run $far/ocm version
  cmp $far/ocm $near/product/ocm || fail "the binary is not the one that was packed"
  run ocm download resource "$url//$name/docs:$version" docs --output $far/docs
  diff -r $near/product/docs $far/docs || fail "the documents are not those that were packed"
  image
  pull
}

# Unpacks the image by hand, and runs it in a root directory where nothing else is.
image() {
  local manifest layer
  run ocm download resource "$url//$name/cli:$version" image --output $far/image
  manifest=$(digests $far/image/index.json | sed -n 1p)
  layer=$(digests "$far/image/blobs/sha256/$manifest" | sed -n 2p)
  mkdir $far/root
  # What runs in there cannot write outside.
  local OCM_STATS=
  tar -xzf "$far/image/blobs/sha256/$layer" -C $far/root
  if chroot / true 2>/dev/null; then
    run chroot $far/root /ocm version
  elif unshare --user --map-root-user chroot / true 2>/dev/null; then
    run unshare --user --map-root-user chroot $far/root /ocm version
  else
    echo "(the image was not run: neither root nor user namespaces are available here)"
  fi
}

# Lets other tools pull from the registry, where they are installed.
pull() {
  local registry=${url#http://} digest
  if command -v crane >/dev/null; then
    digest=sha256:$(digests $far/image/index.json | sed -n 1p)
    run crane pull --insecure "$registry/component-descriptors/$name/cli@$digest" $far/crane.tar
    run crane validate --tarball $far/crane.tar
  else
    echo "(crane is not installed; the image was not pulled with it)"
  fi
  if command -v helm >/dev/null; then
    run ocm download resource "$url//$name/chart:$version" ocm-registry --output $far/chart
    digest=sha256:$(digests $far/chart/index.json | sed -n 1p)
    mkdir $far/helm
    run helm pull --plain-http "oci://$registry/component-descriptors/$name/chart@$digest" --destination $far/helm
    # Some versions of helm name the file after the digest.
    run helm template registry $far/helm/* >helm.log
    echo "helm renders $(grep -c '^kind:' helm.log) objects"
  else
    echo "(helm is not installed; the chart was not pulled with it)"
  fi
}

# Prints a field of the lines in the file of OCM_STATS.
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" "$OCM_STATS"; }

summary() {
  heading "Summary"
  echo "moved     $(sed -n '$s/^transferred //p' import.log)"
  echo "          in one file of $(bytes $disk/product.tar) bytes"
  echo "verified  $(sed -n '$s/^verified //p' verify.log)"
  echo
  kill "$server" && wait "$server" || true
  server=
  {
    echo "COMMAND|SECONDS|PEAK MEMORY"
    paste -d '|' <(field command) <(field seconds) <(field peakMemory) |
      awk -F '|' '{ printf "ocm %s|%.2f|%s\n", $1, $2, $3 ? sprintf("%.1f MiB", $3 / 1048576) : "?" }'
  } | awk -F '|' '{ printf "%-40s %8s %12s\n", $1, $2, $3 }'
  echo
  echo "total     $SECONDS seconds, building included"
}

build
pack
if $tamper; then damage; fi
serve
if $tamper; then refuse; fi
import
verify
use
summary
