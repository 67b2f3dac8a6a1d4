# What `make install` puts in place: both libraries, the headers, a pkg-config file, a CMake package and the man pages.
# The pkg-config file and the package find the prefix from where they lie, so a tree may be installed with DESTDIR or
# moved.
include(CMakePackageConfigHelpers)

set(MPROC_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/mproc)

install(TARGETS mproc mproc_static EXPORT mprocTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT mprocTargets NAMESPACE mproc:: DESTINATION ${MPROC_CMAKE_DIR})

file(RELATIVE_PATH MPROC_PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" MPROC_PREFIX_FROM_PC "${MPROC_PREFIX_FROM_PC}")
configure_file(cmake/mproc.pc.in mproc.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mproc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/mprocConfig.cmake.in mprocConfig.cmake INSTALL_DESTINATION ${MPROC_CMAKE_DIR})
write_basic_package_version_file(mprocConfigVersion.cmake COMPATIBILITY ${MPROC_COMPATIBILITY})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mprocConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/mprocConfigVersion.cmake
        DESTINATION ${MPROC_CMAKE_DIR})
