/* Shared memory with a name: every function while each of its system calls fails. */
#include "every.h"

#include <mproc/base.h>

int main(void)
{
    mproc_init();
    return every_run("memory", cases_memory.cases, cases_memory.count);
}
