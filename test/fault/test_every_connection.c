/* Pipes and connections: every function while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("connection", cases_connection.cases, cases_connection.count);
}
