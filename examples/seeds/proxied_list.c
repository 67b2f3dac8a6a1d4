/* A list in a manager's server, by its proxy: all of it, the proxy itself, an item, a slice. */
#include <errno.h>
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>

/* Print a value as Python does, and give it back. */
static int print(mproc_value *value)
{
    char *text = mproc_value_repr(*value);
    if (text)
        puts(text);
    free(text);
    mproc_value_free(value);
    return text ? 0 : -ENOMEM;
}

static int fill(mproc_list *list)
{
    int result = 0;
    for (int i = 0; i < 10 && !result; i++)
        result = mproc_list_append(list, mproc_int(i * i), MPROC_FOREVER);
    return result;
}

int main(void)
{
    mproc_manager *manager = NULL;
    mproc_list *list = NULL;
    mproc_value value;
    int result;

    if ((result = mproc_manager_create(&manager, NULL)) ||
        (result = mproc_manager_list(manager, &list, NULL, MPROC_FOREVER)) || (result = fill(list)) ||
        (result = mproc_list_copy(list, &value, MPROC_FOREVER)) || (result = print(&value)) ||
        (value = mproc_object_value(list), result = print(&value)) ||
        (result = mproc_list_get(list, 4, &value, MPROC_FOREVER)) || (result = print(&value)) ||
        (result = mproc_list_get_slice(list, 2, 5, 1, &value, MPROC_FOREVER)) || (result = print(&value))) {
        fprintf(stderr, "proxied_list: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_list_free(list);
    mproc_manager_free(manager);
    return 0;
}
