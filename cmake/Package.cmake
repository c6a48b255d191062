# `cpack` in a build folder makes holdfast_VERSION_ARCH.deb, with /usr as its prefix. CRIU is not in it: Debian 13's package
# will do; elsewhere the package's own install-criu puts one beside the system's.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME holdfast)
set(CPACK_PACKAGE_VENDOR "The Holdfast developers")
set(CPACK_PACKAGE_CONTACT "The Holdfast developers <holdfast@holdfast.dev>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "It checkpoints a running job without a change to its code, lets it go on at once and restarts it hot where it stood.")
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "criu (>= 4.1), nftables | iptables")
install(PROGRAMS ${PROJECT_SOURCE_DIR}/scripts/install-criu DESTINATION lib/holdfast)
install(FILES ${PROJECT_SOURCE_DIR}/scripts/private-packages.sh DESTINATION lib/holdfast)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/holdfast RENAME copyright)
include(CPack)
