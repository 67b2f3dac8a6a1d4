/* Listeners and those that connect: every function while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("listener", cases_listener.cases, cases_listener.count);
}
