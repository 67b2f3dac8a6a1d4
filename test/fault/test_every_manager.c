/* Managers: every function while each of its system calls fails. On one CPU, where nobody looks for an answer without
 * sleeping: that is a system call each time, as many as there is time for. */
#include "every.h"
#include "os/cpu.h"
#include <mproc/base.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argc;
    mproc_init();                                  /* servers are started by each method */
    if (os_cpu_may_spin() && os_cpu_pin(0) == 0) { /* the library asks when it is loaded */
        unsetenv("MPROC_TEST_FAULT_PLAN");         /* the plan of this program */
        execv("/proc/self/exe", argv);
    }
    return os_cpu_may_spin() ? 1 : every_run("managers", cases_manager.cases, cases_manager.count);
}
