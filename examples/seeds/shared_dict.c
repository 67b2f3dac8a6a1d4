/* A child sets a key of a manager's dict, and the parent prints the dict. */
#include <errno.h>
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>

static int worker(void *arg)
{
    return mproc_dict_set(arg, mproc_string("x"), mproc_string("hi"), MPROC_FOREVER) ? 1 : 0;
}

/* Print a value as Python does. */
static int print(mproc_value value)
{
    char *text = mproc_value_repr(value);
    if (text)
        puts(text);
    free(text);
    return text ? 0 : -ENOMEM;
}

int main(void)
{
    mproc_manager *manager = NULL;
    mproc_process *process = NULL;
    mproc_dict *dict = NULL;
    mproc_value all = mproc_nil();
    int result;

    /* Within a family mproc_dict_create() would do, without a server; the rest would be the same. */
    if ((result = mproc_manager_create(&manager, NULL)) ||
        (result = mproc_manager_dict(manager, &dict, NULL, MPROC_FOREVER)) ||
        (result = mproc_process_start(&process, worker, dict, NULL)) ||
        (result = mproc_process_join(process, MPROC_FOREVER)) ||
        (result = mproc_dict_copy(dict, &all, MPROC_FOREVER)) || (result = print(all))) {
        fprintf(stderr, "shared_dict: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_value_free(&all);
    mproc_process_free(process);
    mproc_dict_free(dict);
    mproc_manager_free(manager);
    return 0;
}
