/* Values: every function while each of its allocations fails. */
#include "every.h"

#include <mproc/base.h>

int main(void)
{
    mproc_init();
    return every_run("values", cases_values.cases, cases_values.count);
}
