# shellcheck shell=bash
# The images that every cluster has: pause, which Kubernetes needs, and busybox, to try things with. Kept in the cache, under
# a name that changes when what makes them does.

images_folder() {
  echo "$cache/cluster-images-$(cat "$hack/make-image" "$hack/cluster.d/images.sh" "$hack/cluster.d/pause.c" | sha256sum | cut -c1-12)"
}

make_images() {
  local folder work
  folder=$(images_folder)
  work=$(mktemp -d -p "$cache")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$work'" EXIT
  mkdir "$work/images"
  gcc -Os -static -Wall -Wextra -Werror -o "$work/pause" "$hack/cluster.d/pause.c"
  "$hack/make-image" --file "$work/pause:/pause" localhost/pause:1 "$work/images/pause.tar" -- /pause
  make_busybox "$work/root" "$work/images/busybox.tar"
  # Another checkout may be using its own at this moment; what is old goes.
  find "$cache" -maxdepth 1 -name 'cluster-images-*' -mtime +14 -exec rm -rf {} +
  mv "$work/images" "$folder"
}

make_busybox() {
  local root=$1 applet
  mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp}
  chmod 1777 "$root/tmp"
  echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
  for applet in sh ls cat sleep ps hostname mount id env grep tail head wc date touch df echo kill nc wget httpd ip vi top du sync seq true; do
    ln -s busybox "$root/bin/$applet"
  done
  "$hack/make-image" --package busybox-static --tree "$root" localhost/busybox:1 "$2" -- /bin/sh
}

# To all nodes.
load_images() {
  local image node
  local -a enter
  for image in "$@"; do
    for node in "${NODES[@]}"; do
      enter_place "$node"
      "${enter[@]}" ctr -n k8s.io images import - <"$image"
    done
  done
}
