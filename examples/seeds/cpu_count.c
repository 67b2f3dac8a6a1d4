/* How many CPUs this program may use: those of its affinity mask, and no more than its container is granted. */
#include <mproc.h>
#include <stdio.h>

int main(void)
{
    printf("The number of CPU currently working in system :  %d\n", mproc_cpu_count());
    return 0;
}
