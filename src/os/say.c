/* What the library says on stderr: see say.h. */
#include "os/say.h"

#include "os/pipe.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void os_say_bytes(const char *bytes, size_t size)
{
    while (os_write_quietly(STDERR_FILENO, bytes, size) == -EINTR) {
    }
}

void os_say(const char *format, ...)
{
    char text[1024];
    int saved = errno;
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0)
        os_say_bytes(text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
    errno = saved;
}
