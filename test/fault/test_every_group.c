/* Groups: every function while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("group", cases_group.cases, cases_group.count);
}
