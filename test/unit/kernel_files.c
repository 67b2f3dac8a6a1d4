/* Files of the kernel that a test makes up. */
#include "kernel_files.h"

#include "harness.h"
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char kernel_root[] = "/tmp/mproc-test-XXXXXX";

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void kernel_open(void)
{
    strcpy(kernel_root + strlen(kernel_root) - 6, "XXXXXX");
    assert_non_null(mkdtemp(kernel_root));
}

void kernel_close(void)
{
    assert_int_equal(nftw(kernel_root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void kernel_put(const char *path, const char *text)
{
    char whole[PATH_MAX];

    snprintf(whole, sizeof whole, "%s%s", kernel_root, path);
    for (char *slash = whole + strlen(kernel_root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(whole, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(whole, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}
