/* The start of processes by each method while each of its system calls fails. */
#include "every.h"

#include <mproc/base.h>

int main(void)
{
    mproc_init();
    return every_run("start", cases_start.cases, cases_start.count);
}
