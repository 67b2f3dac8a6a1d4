/* The library as a whole, shared memory and the log: every function while each of its system calls fails. */
#include "every.h"

#include <mproc/base.h>

int main(void)
{
    mproc_init();
    return every_run("base", cases_base.cases, cases_base.count);
}
