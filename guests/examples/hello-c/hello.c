// The smallest function in C: a program that speaks CGI. What it prints up to the empty line is the
// response's header, what follows its body; what the caller sent stands in environment variables.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    const char *path = getenv("PATH_INFO");
    printf("Content-Type: text/plain\n\n");
    printf("Hello from C! You asked for %s\n", path && *path ? path : "/");
    return 0;
}
