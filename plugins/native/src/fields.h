#pragma once

#include "log.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace surgeon
{

//! What a creator takes under one name. `length` is the most values; a field of one value has 1.
struct FieldSpec
{
    char const* name;
    nvinfer1::PluginFieldType type;
    int32_t length{1};
};

//! The fields of one call of a creator. The first one that does not fit is logged; from then on good() is false.
class FieldReader
{
public:
    FieldReader(char const* plugin, nvinfer1::PluginFieldCollection const* fields, std::vector<FieldSpec> const& specs);

    //! Return a whole number from `low` to `high`; `low` itself where the field does not fit.
    int32_t integer(char const* name, int32_t low, int32_t high);

    //! Return a finite number; 0 where the field does not fit.
    float number(char const* name);

    //! Return a finite number, `otherwise` where the field is left out.
    float number(char const* name, float otherwise);

    //! Return 1 to `most` whole numbers from `low` to `high`; none where the field does not fit.
    std::vector<int32_t> integers(char const* name, int32_t most, int32_t low, int32_t high);

    //! Log why the fields do not fit.
    void refuse(std::string const& why);

    bool good() const noexcept
    {
        return mGood;
    }

private:
    nvinfer1::PluginField const* find(char const* name) const;
    nvinfer1::PluginField const* required(char const* name, nvinfer1::PluginFieldType type, int32_t most);
    nvinfer1::PluginField const* checked(
        nvinfer1::PluginField const* field, nvinfer1::PluginFieldType type, int32_t most);
    float finite(nvinfer1::PluginField const& field);
    bool inRange(char const* name, int32_t value, int32_t low, int32_t high);

    char const* mPlugin;
    nvinfer1::PluginFieldCollection const* mFields;
    bool mGood{true};
};

} // namespace surgeon
