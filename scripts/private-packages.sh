# shellcheck shell=bash
# Debian's packages of another release than this machine's, in a folder, with nothing else changed: apt is given a state
# of its own for it, and checks Debian's signatures as always. To be sourced.
#
# They come from where this machine gets its own; elsewhere name a mirror: HOLDFAST_DEBIAN_MIRROR=URL

readonly DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# fetch_debian_packages SUITE WORK PACKAGE...: the packages and all that they need, as WORK/packages/*.deb. WORK is a folder
# for this call alone. Fails when no mirror gave them, and has told why.
fetch_debian_packages() {
  local suite=$1 work=$2 mirror
  shift 2
  [[ -r $DEBIAN_KEYRING ]] || apt_install debian-archive-keyring || {
    echo "$DEBIAN_KEYRING is missing and cannot be installed; without it Debian's packages cannot be verified" >&2
    return 1
  }
  chmod 755 "$work" # apt's own user downloads into it
  while read -r mirror; do
    echo "taking $* from $mirror ($suite)" >&2
    if download_from "$mirror" "$suite" "$work" "$@"; then
      ln -sfn cache/archives "$work/packages"
      return
    fi
    tail -n 5 "$work/log" >&2
  done < <(debian_mirrors)
  echo "no mirror gave $* (apt's messages are above, if there was one to ask);
  name one of Debian's: HOLDFAST_DEBIAN_MIRROR=URL" >&2
  return 1
}

# unpack_debian_packages WORK TREE: what fetch_debian_packages has brought. Without what only documents or configures a
# whole system.
unpack_debian_packages() {
  local package
  mkdir -p "$2" || return
  for package in "$1"/packages/*.deb; do
    dpkg-deb -x "$package" "$2" || return
  done
  rm -rf "$2"/usr/share/{doc,man,locale,lintian,bash-completion,i18n} "$2"/{etc,var,tmp}
}

# Addresses to take a release from, the likeliest first: where this machine gets its own Debian from (apt itself reads
# both formats of its configuration), then the one that the user names. Another vendor's repository among them does no
# harm: it has no such release that Debian has signed.
debian_mirrors() {
  {
    apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
      awk -F '|' '$2 == "main" && ($1 == "Debian" || ($1 == "" && $3 ~ /\/debian\/?$/)) && $3 !~ /^(cdrom|file|copy):/ {
        sub(/\/$/, "", $3); print $3 }' |
      grep -v -e '-security$' || true
    [[ -z ${HOLDFAST_DEBIAN_MIRROR:-} ]] || echo "$HOLDFAST_DEBIAN_MIRROR"
  } | awk '!seen[$0]++'
}

download_from() {
  local mirror=$1 suite=$2 work=$3
  shift 3
  rm -rf "$work"/{lists,cache,state,status}
  mkdir -p "$work"/lists/partial "$work"/cache/archives/partial "$work"/state
  : >"$work/status"
  echo "deb [signed-by=$DEBIAN_KEYRING target=Packages lang=none] $mirror $suite main" >"$work/source.list"
  private_apt "$work" -o APT::Update::Error-Mode=any update >"$work/log" 2>&1 || return 1
  private_apt "$work" -y --no-install-recommends --download-only install "$@" >>"$work/log" 2>&1
}

private_apt() {
  local work=$1
  shift
  apt-get -q -o Dir::Etc::sourcelist="$work/source.list" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::preferences=- -o Dir::Etc::preferencesparts=- \
    -o Dir::State="$work/state" -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" \
    -o Dir::Cache="$work/cache" -o APT::Default-Release= "$@" </dev/null
}

# apt_install PACKAGE...: of this machine's own release, for all of the machine.
apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  "${apt[@]}" install -y --no-install-recommends "$@" </dev/null >&2 ||
    { "${apt[@]}" update </dev/null >&2 && "${apt[@]}" install -y --no-install-recommends "$@" </dev/null >&2; }
}
