/* Waiting for several things at once while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("wait", cases_wait.cases, cases_wait.count);
}
