# The man pages, made from the headers. They are left out where there is no Python, and where mproc is a part of another
# project.
find_package(Python3 3.9 QUIET COMPONENTS Interpreter)
if(NOT Python3_Interpreter_FOUND OR NOT PROJECT_IS_TOP_LEVEL)
    message(STATUS "There is no python3: the man pages are left out")
    return()
endif()

set(man_stamp ${CMAKE_CURRENT_BINARY_DIR}/man.stamp)
file(GLOB man_headers CONFIGURE_DEPENDS include/mproc/*.h)
add_custom_command(
    OUTPUT ${man_stamp}
    COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/scripts/man ${CMAKE_CURRENT_BINARY_DIR}/man
    COMMAND ${CMAKE_COMMAND} -E touch ${man_stamp}
    DEPENDS ${man_headers} ${PROJECT_SOURCE_DIR}/scripts/man ${PROJECT_SOURCE_DIR}/scripts/headers.py
            ${PROJECT_SOURCE_DIR}/CHANGELOG.md
    COMMENT "Making the man pages"
    VERBATIM)
add_custom_target(man ALL DEPENDS ${man_stamp})
install(DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR} OPTIONAL)
