# Flags that hold for every target of the project.

set(MPROC_WARNINGS -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings
                   -Wpointer-arith -Wundef)

if(MPROC_SANITIZE)
    add_compile_options(-fsanitize=${MPROC_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${MPROC_SANITIZE})
    # TSan does not see fences. What they order beside atomics it may report; that a fence is there is no news.
    add_compile_options($<$<C_COMPILER_ID:GNU>:-Wno-tsan>)
endif()
