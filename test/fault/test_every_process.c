/* Processes: every function but their start while each of its system calls fails. */
#include "every.h"

#include <mproc/base.h>

int main(void)
{
    mproc_init();
    return every_run("process", cases_process.cases, cases_process.count);
}
