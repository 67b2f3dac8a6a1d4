/* Walks the cases of cases_host.c. */
#include "every.h"

int main(void)
{
    return every_run("the host of a pool", cases_host.cases, cases_host.count);
}
