/* Queues: every function while each of its system calls fails. */
#include "every.h"

int main(void)
{
    return every_run("queue", cases_queue.cases, cases_queue.count);
}
