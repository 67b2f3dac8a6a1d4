/* Synchronization objects: every function while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("sync", cases_sync.cases, cases_sync.count);
}
