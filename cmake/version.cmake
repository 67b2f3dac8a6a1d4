# The version is written down in include/mproc/base.h and nowhere else: CMake, the soname, pkg-config and the man pages
# take it from there. What two versions promise each other is said in CONTRIBUTING.md, "Versions": before 1.0 another
# minor version is another ABI, from 1.0 on another major version is.

set(version_header ${CMAKE_CURRENT_LIST_DIR}/../include/mproc/base.h)
foreach(part MAJOR MINOR PATCH)
    file(STRINGS ${version_header} MPROC_VERSION_${part} REGEX "^#define MPROC_VERSION_${part} +[0-9]+$")
    string(REGEX REPLACE ".* " "" MPROC_VERSION_${part} "${MPROC_VERSION_${part}}")
    if(MPROC_VERSION_${part} STREQUAL "")
        message(FATAL_ERROR "${version_header} does not define MPROC_VERSION_${part} as a number")
    endif()
endforeach()
set(MPROC_VERSION ${MPROC_VERSION_MAJOR}.${MPROC_VERSION_MINOR}.${MPROC_VERSION_PATCH})

if(MPROC_VERSION_MAJOR EQUAL 0)
    set(MPROC_SOVERSION 0.${MPROC_VERSION_MINOR})
    set(MPROC_COMPATIBILITY SameMinorVersion)
else()
    set(MPROC_SOVERSION ${MPROC_VERSION_MAJOR})
    set(MPROC_COMPATIBILITY SameMajorVersion)
endif()

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${version_header})
