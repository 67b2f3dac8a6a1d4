/* What this process is. child.c writes it in a child; the other files only read it. */
#include "process/self.h"

#include "os/fork.h"
#include "os/process.h"
#include "util/atomic.h"
#include "util/text.h"
#include <stdio.h>
#include <string.h>

/* What the kernel keeps of a name. */
#define SHOWN_SIZE 16

struct self self = {
    .process = {.name = "MainProcess"},
    .parent = {.pidfd = -1},
    .groups = "",
};

void self_next_line(char line[PROCESS_NAME_SIZE])
{
    unsigned number = fetch_add_relaxed(&self.children, 1) + 1;
    if (self.line[0] == '\0' || snprintf(line, PROCESS_NAME_SIZE, "%s:%u", self.line, number) >= PROCESS_NAME_SIZE)
        snprintf(line, PROCESS_NAME_SIZE, "%u", number);
}

void self_copy_name(char name[PROCESS_NAME_SIZE], const char *text)
{
    size_t length = text_fitting(text, PROCESS_NAME_SIZE);
    memcpy(name, text, length);
    name[length] = '\0';
}

OS_FORK_PATH void self_show_name(void)
{
    char shown[SHOWN_SIZE];
    size_t length = text_fitting(self.process.name, sizeof shown);
    memcpy(shown, self.process.name, length);
    shown[length] = '\0';
    os_set_name(shown);
}
