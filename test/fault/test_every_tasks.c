/* What pools do beside plain maps and tasks: every function while each of its system calls fails. */
#include "every.h"

#include <mproc/base.h>

int main(void)
{
    mproc_init();
    return every_run("tasks", cases_tasks.cases, cases_tasks.count);
}
