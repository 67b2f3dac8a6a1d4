# Each file in bench/ and bench/peers/ is a program of its own, built only by the target `bench`. A peer is linked with
# what it needs and no more, so that starting one costs what it would cost a user. Where the compiler has no OpenMP, or
# the library of a peer is not there, these peers are left out; scripts/bench says so.

add_custom_target(bench)
find_package(OpenMP COMPONENTS C QUIET)
find_library(MPROC_ZMQ zmq)
find_library(MPROC_NNG nng)

function(mproc_add_bench folder)
    file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${folder}/*.c)
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        set(libraries ${ARGN} Threads::Threads)
        if(name MATCHES "^openmp")
            if(NOT OpenMP_C_FOUND)
                continue()
            endif()
            list(APPEND libraries OpenMP::OpenMP_C)
        endif()
        if(name MATCHES "^(zmq|nng)$")
            string(TOUPPER "MPROC_${name}" library)
            if(NOT ${library})
                continue()
            endif()
            list(APPEND libraries ${${library}})
        endif()
        string(MAKE_C_IDENTIFIER "${folder}_${name}" target)
        add_executable(${target} EXCLUDE_FROM_ALL ${source})
        target_compile_options(${target} PRIVATE ${MPROC_WARNINGS})
        target_compile_definitions(${target} PRIVATE _GNU_SOURCE=)
        target_link_libraries(${target} PRIVATE ${libraries})
        set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
                                                   RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
        add_dependencies(bench ${target})
    endforeach()
endfunction()

mproc_add_bench(bench mproc)
mproc_add_bench(bench/peers)

# The pool once more, with the static library: see pool_map_tiny in docs/benchmarks.md.
add_executable(bench_pool_static EXCLUDE_FROM_ALL bench/pool.c)
target_compile_definitions(bench_pool_static PRIVATE _GNU_SOURCE=)
target_link_libraries(bench_pool_static PRIVATE mproc_static Threads::Threads)
set_target_properties(bench_pool_static PROPERTIES OUTPUT_NAME pool_static
                                                   RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench
                                                   EXPORT_COMPILE_COMMANDS OFF)
add_dependencies(bench bench_pool_static)
