# Each file in examples/ and examples/seeds/ is a whole program, built as a user would build it: against the public
# headers and the shared library. It lands in examples/ of the build folder under its own name. One that needs a library
# which is not there is left out.

find_package(PNG QUIET)
find_package(OpenSSL 3.0 QUIET COMPONENTS Crypto)
set(mandelbrot_needs PNG::PNG)
set(hashcrack_needs OpenSSL::Crypto)

add_custom_target(examples)
file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} examples/*.c)
foreach(source IN LISTS sources)
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(GET source STEM name)
    if(DEFINED ${name}_needs AND NOT TARGET ${${name}_needs})
        message(STATUS "There is no ${${name}_needs}: the example ${name} is left out")
        continue()
    endif()
    string(MAKE_C_IDENTIFIER "${folder}_${name}" target)
    add_executable(${target} ${source})
    target_compile_options(${target} PRIVATE ${MPROC_WARNINGS})
    target_link_libraries(${target} PRIVATE mproc m ${${name}_needs})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
                                               RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
    add_dependencies(examples ${target})
endforeach()
