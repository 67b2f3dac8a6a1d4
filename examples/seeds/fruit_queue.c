/* A queue gives back what was put into it, first in first out. One process alone may use it too. */
#include <mproc.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    const char *fruits[] = {"Apple", "Orange", "Guava", "Papaya", "Banana"};
    mproc_queue *queue = NULL;
    char fruit[32];

    int result = mproc_queue_create(&queue, NULL);

    printf("pushing items to the queue:\n");
    for (int i = 0; i < 5 && result == 0; i++) {
        printf("item no:  %d   %s\n", i + 1, fruits[i]);
        result = mproc_queue_put(queue, fruits[i], strlen(fruits[i]) + 1, MPROC_FOREVER);
    }

    printf("\npopping items from the queue:\n");
    for (int i = 0; result == 0 && !mproc_queue_empty(queue); i++) {
        result = mproc_queue_get(queue, fruit, sizeof fruit, NULL, MPROC_NOWAIT);
        if (result == 0)
            printf("item no:  %d   %s\n", i, fruit);
    }

    if (result)
        fprintf(stderr, "fruit_queue: %s\n", mproc_strerror(result));
    mproc_queue_free(queue);
    return result ? 1 : 0;
}
