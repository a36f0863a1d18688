// The smallest function in AssemblyScript: a program that speaks CGI. What it prints up to the empty
// line is the response's header, what follows its body; the request stands in the environment.

const path = process.env.has("PATH_INFO") ? process.env.get("PATH_INFO") : "/";

process.stdout.write("Content-Type: text/plain\n\n");
process.stdout.write(`Hello from AssemblyScript! You asked for ${path}\n`);
