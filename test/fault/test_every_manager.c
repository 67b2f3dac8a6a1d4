/* Managers: every function while each of its system calls fails. On one CPU, where nobody looks for an answer without
 * sleeping: that is a system call each time, as many as there is time for. */
#include "every.h"
#include "os/cpu.h"

int main(void)
{
    return os_cpu_pin(0) ? 1 : every_run("managers", cases_manager.cases, cases_manager.count);
}
