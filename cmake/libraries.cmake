# The two libraries that users link. The shared one exports what mproc.map names; the static one is a single object in
# which every hidden symbol has become local. So neither can clash with a name of the user's program.

# Every fork of the program copies each of its mappings and its child pays for each again when it ends. So code and
# constants are in one (-z noseparate-code; it is readable and executable, nothing is both that and writable), and the
# unwinder for the stacks of dead tasks comes along, for a shared libgcc_s would be five mappings more.
add_library(mproc SHARED $<TARGET_OBJECTS:mproc_objects>)
target_link_options(mproc PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/mproc.map LINKER:-z,now
                                  LINKER:-z,noseparate-code)
if(NOT MPROC_SANITIZE)
    target_link_options(mproc PRIVATE LINKER:-z,defs -static-libgcc)
endif()
set_target_properties(mproc PROPERTIES LINK_DEPENDS ${PROJECT_SOURCE_DIR}/mproc.map
                                       VERSION ${PROJECT_VERSION} SOVERSION ${MPROC_SOVERSION})

# A sanitizer's per-object bookkeeping does not survive the joining, so such a build keeps the objects apart.
if(MPROC_SANITIZE)
    add_library(mproc_static STATIC $<TARGET_OBJECTS:mproc_objects>)
else()
    set(joined ${CMAKE_CURRENT_BINARY_DIR}/mproc.o)
    add_custom_command(
        OUTPUT ${joined}
        COMMAND ${CMAKE_LINKER} -r -o ${joined} $<TARGET_OBJECTS:mproc_objects>
        COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${joined}
        DEPENDS mproc_objects $<TARGET_OBJECTS:mproc_objects>
        COMMENT "Joining the objects of the static library"
        COMMAND_EXPAND_LISTS VERBATIM)
    add_library(mproc_static STATIC ${joined})
    set_source_files_properties(${joined} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
endif()
set_target_properties(mproc_static PROPERTIES OUTPUT_NAME mproc LINKER_LANGUAGE C)

foreach(library mproc mproc_static)
    target_include_directories(${library} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${library} PUBLIC Threads::Threads)
    add_library(mproc::${library} ALIAS ${library})
endforeach()
