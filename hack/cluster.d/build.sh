# shellcheck shell=bash
# Kubernetes from its Go module, and a Go compiler that can: kept in the cache, outside of the tree.

readonly COMPONENTS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl)

# Prints the go of the machine that will do: in PATH, where golang.org's archives go, or Debian's of that version.
find_go() {
  local candidate version
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go "/usr/lib/go-$GO_VERSION_MIN/bin/go" "$go_prefix/usr/lib/go-$GO_VERSION_MIN/bin/go"; do
    [[ -x $candidate ]] || continue
    version=$(GOTOOLCHAIN=local "$candidate" env GOVERSION 2>/dev/null) || continue
    if [[ $(printf '%s\n' "go$GO_VERSION_MIN" "$version" | sort -V | head -n 1) == "go$GO_VERSION_MIN" ]]; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# Debian 12 has Go 1.19; Debian 13's runs there, and needs no other package.
provide_go() {
  local work
  if find_go; then return; fi
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$work' '$go_prefix.new'" EXIT
  fetch_debian_packages trixie "$work" "golang-$GO_VERSION_MIN-go" || die "install Go $GO_VERSION_MIN or later yourself, and put it into PATH"
  rm -rf "$go_prefix.new" "$go_prefix"
  unpack_debian_packages "$work" "$go_prefix.new"
  mv "$go_prefix.new" "$go_prefix"
  find_go || die "Debian's Go in $go_prefix does not run here; install Go $GO_VERSION_MIN or later and put it into PATH"
}

is_built() {
  local component
  for component in "${COMPONENTS[@]}"; do [[ -x $kubernetes/$component ]] || return; done
}

build_kubernetes() {
  local go component folder module_folder
  go=$(find_go) || die "there is no Go $GO_VERSION_MIN or later"
  folder=$kubernetes/module
  mkdir -p "$folder"
  cd "$folder"
  export CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=local HOME="${HOME:-/root}"
  module_folder=$("$go" mod download -json "k8s.io/kubernetes@v$KUBERNETES_VERSION" | sed -n 's/^\t"Dir": "\(.*\)".*/\1/p')
  [[ -d $module_folder ]] || die "Go could not fetch k8s.io/kubernetes; see above, and 'go env GOPROXY'"
  write_module "$module_folder" >go.mod
  for component in "${COMPONENTS[@]}"; do
    [[ ! -x $kubernetes/$component ]] || continue
    echo "building $component"
    nice "$go" build -trimpath -ldflags "$(version_flags)" -o "$kubernetes/$component.new" "k8s.io/kubernetes/cmd/$component"
    mv "$kubernetes/$component.new" "$kubernetes/$component"
  done
}

# A module that depends on Kubernetes. Kubernetes' own go.mod takes its parts (k8s.io/api and so on) from folders inside of
# it, which counts for itself only: here they are named by the versions under which the same content is published,
# v0.X.Y for Kubernetes v1.X.Y.
write_module() {
  echo "module holdfast.dev/hack/kubernetes"
  grep '^go ' "$1/go.mod"
  echo "require k8s.io/kubernetes v$KUBERNETES_VERSION"
  echo "replace ("
  sed -n 's|^\t\(k8s\.io/[a-z-]*\) => \./staging.*|\t\1 => \1 v0.'"${KUBERNETES_VERSION#1.}"'|p' "$1/go.mod"
  echo ")"
}

version_flags() {
  echo "-s -w -X k8s.io/component-base/version.gitVersion=v$KUBERNETES_VERSION -X k8s.io/client-go/pkg/version.gitVersion=v$KUBERNETES_VERSION"
}
