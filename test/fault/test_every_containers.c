/* Containers: every function while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("containers", cases_containers.cases, cases_containers.count);
}
