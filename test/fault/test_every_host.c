/* Walks the cases of cases_host.c. */
#include "every.h"

#include <signal.h>

int main(void)
{
    signal(SIGINT, SIG_DFL); /* an ignored one, as in the background, stays ignored */
    return every_run("the host of a pool", cases_host.cases, cases_host.count);
}
