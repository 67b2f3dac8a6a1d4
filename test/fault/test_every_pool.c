/* Pools and futures: every function while each of its system calls fails. */
#include "every.h"

#include <mproc/base.h>

int main(void)
{
    mproc_init();
    return every_run("pool", cases_pool.cases, cases_pool.count);
}
