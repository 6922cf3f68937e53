#include "log.h"

#include <cstdio>
#include <exception>

namespace surgeon
{

void log(Severity severity, char const* who, std::string const& what) noexcept
{
    try
    {
        std::string const line = std::string(who) + ": " + what;
        if (auto* logger = getLogger())
        {
            logger->log(severity, line.c_str());
        }
        else
        {
            std::fprintf(stderr, "%s\n", line.c_str());
        }
    }
    catch (std::exception const&)
    {
        std::fprintf(stderr, "%s\n", who);
    }
}

} // namespace surgeon
