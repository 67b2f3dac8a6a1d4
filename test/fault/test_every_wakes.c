/* Synchronization objects with somebody who waits: every function while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("wakes", cases_wakes.cases, cases_wakes.count);
}
