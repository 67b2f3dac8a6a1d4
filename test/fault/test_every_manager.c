/* Managers: every function while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("managers", cases_manager.cases, cases_manager.count);
}
