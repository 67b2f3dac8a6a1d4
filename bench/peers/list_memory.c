/* The limit of queue_memory: messages in a linked list, each in a block of malloc, in one process. See ../holding.h. */
#include "../holding.h"

struct node {
    struct node *next;
    char message[HELD_SIZE];
};

static struct node *first;
static struct node **last = &first;

static void open_list(size_t count)
{
    (void)count;
}

static void put(const void *message)
{
    struct node *node = malloc(sizeof *node);

    must(node != NULL, "malloc");
    node->next = NULL;
    memcpy(node->message, message, HELD_SIZE);
    *last = node;
    last = &node->next;
}

static void get(void *message)
{
    struct node *node = first;

    memcpy(message, node->message, HELD_SIZE);
    first = node->next;
    if (!first)
        last = &first;
    free(node);
}

int main(int argc, char **argv)
{
    static const struct store kind = {open_list, put, get, NULL};

    return measure_holding(argc, argv, &kind);
}
