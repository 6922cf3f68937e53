#pragma once

#include "fields.h"

#include <NvInfer.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

static_assert(NV_TENSORRT_MAJOR == 8, "the plugins are written for the interface of TensorRT 8");

namespace surgeon
{

//! A plugin with one input and one output of one element type, float32 or float16, in linear format.
//!
//! `Operation` is what the plugins do not share:
//!   - `kName`, the creator's name;
//!   - `Fields`, trivially copyable, what the plugin computes with;
//!   - `static std::vector<FieldSpec> specs()`, what the creator takes;
//!   - `static Fields read(FieldReader&)`, the validated fields; it calls FieldReader::refuse for what does not fit;
//!   - `static std::string shape(Fields const&, Dims const& input, Dims& output)`, the output's shape without the batch,
//!     or why there is none;
//!   - `template <typename T> static void launch(Fields const&, int32_t batch, Dims const& input, Dims const& output,
//!     T const*, T*, cudaStream_t)`, which starts the kernel.
template <typename Operation>
class Plugin final : public nvinfer1::IPluginV2Ext
{
public:
    using Fields = typename Operation::Fields;

    //! Everything that an engine keeps of the plugin.
    struct State
    {
        uint32_t layout{kLayout};
        nvinfer1::DataType type{nvinfer1::DataType::kFLOAT};
        nvinfer1::Dims input{-1, {}};
        nvinfer1::Dims output{-1, {}};
        Fields fields{};
    };
    static_assert(std::is_trivially_copyable<State>::value, "the state is stored as its bytes");

    explicit Plugin(State const& state) noexcept
        : mState(state)
    {
    }

    //! Return the plugin of an engine, or none where the bytes are not those of serialize().
    static Plugin* stored(void const* data, size_t length) noexcept
    {
        State state;
        if (data == nullptr || length != sizeof(State))
        {
            log(Severity::kERROR, Operation::kName,
                "the engine holds " + std::to_string(length) + " bytes of the plugin; expected "
                    + std::to_string(sizeof(State)));
            return nullptr;
        }
        std::memcpy(static_cast<void*>(&state), data, length);
        if (state.layout != kLayout)
        {
            log(Severity::kERROR, Operation::kName, "the engine was built with another version of the plugin; build it again");
            return nullptr;
        }
        return new (std::nothrow) Plugin(state);
    }

    char const* getPluginType() const noexcept override
    {
        return Operation::kName;
    }

    char const* getPluginVersion() const noexcept override
    {
        return "1";
    }

    int32_t getNbOutputs() const noexcept override
    {
        return 1;
    }

    nvinfer1::Dims getOutputDimensions(int32_t index, nvinfer1::Dims const* inputs, int32_t count) noexcept override
    {
        nvinfer1::Dims output{-1, {}};
        if (index != 0 || count != 1 || inputs == nullptr)
        {
            log(Severity::kERROR, Operation::kName,
                "output " + std::to_string(index) + " of " + std::to_string(count) + " inputs was asked for; expected output 0 of 1");
            return output;
        }
        return checkedShape(inputs[0], output) ? output : nvinfer1::Dims{-1, {}};
    }

    bool supportsFormat(nvinfer1::DataType type, nvinfer1::PluginFormat format) const noexcept override
    {
        return format == nvinfer1::PluginFormat::kLINEAR
            && (type == nvinfer1::DataType::kFLOAT || type == nvinfer1::DataType::kHALF);
    }

    nvinfer1::DataType getOutputDataType(int32_t, nvinfer1::DataType const* inputs, int32_t count) const noexcept override
    {
        return inputs != nullptr && count > 0 ? inputs[0] : nvinfer1::DataType::kFLOAT;
    }

    bool isOutputBroadcastAcrossBatch(int32_t, bool const*, int32_t) const noexcept override
    {
        return false;
    }

    bool canBroadcastInputAcrossBatch(int32_t) const noexcept override
    {
        return false;
    }

    void configurePlugin(nvinfer1::Dims const* inputs, int32_t inputCount, nvinfer1::Dims const* outputs, int32_t outputCount,
        nvinfer1::DataType const* inputTypes, nvinfer1::DataType const* outputTypes, bool const*, bool const*,
        nvinfer1::PluginFormat format, int32_t) noexcept override
    {
        mState.input = mState.output = nvinfer1::Dims{-1, {}};
        if (inputCount != 1 || outputCount != 1 || inputTypes[0] != outputTypes[0] || !supportsFormat(inputTypes[0], format))
        {
            log(Severity::kERROR, Operation::kName, "the plugin was configured with types or formats that it does not support");
            return;
        }
        nvinfer1::Dims output{-1, {}};
        if (!checkedShape(inputs[0], output) || !equal(output, outputs[0]))
        {
            log(Severity::kERROR, Operation::kName, "the plugin was configured with shapes that it does not compute");
            return;
        }
        mState.type = inputTypes[0];
        mState.input = trimmed(inputs[0]);
        mState.output = output;
    }

    int32_t initialize() noexcept override
    {
        return 0;
    }

    void terminate() noexcept override {}

    size_t getWorkspaceSize(int32_t) const noexcept override
    {
        return 0;
    }

    int32_t enqueue(
        int32_t batch, void const* const* inputs, void* const* outputs, void*, cudaStream_t stream) noexcept override
    {
        if (mState.input.nbDims < 0 || batch < 0)
        {
            log(Severity::kERROR, Operation::kName, "the plugin is not configured; it cannot be executed");
            return 1;
        }
        if (batch == 0)
        {
            return 0;
        }
        if (mState.type == nvinfer1::DataType::kHALF)
        {
            launch<__half>(batch, inputs[0], outputs[0], stream);
        }
        else
        {
            launch<float>(batch, inputs[0], outputs[0], stream);
        }
        auto const status = cudaGetLastError();
        if (status != cudaSuccess)
        {
            log(Severity::kERROR, Operation::kName, std::string("the kernel did not start: ") + cudaGetErrorString(status));
            return 1;
        }
        return 0;
    }

    size_t getSerializationSize() const noexcept override
    {
        return sizeof(State);
    }

    void serialize(void* buffer) const noexcept override
    {
        std::memcpy(buffer, static_cast<void const*>(&mState), sizeof(State));
    }

    void destroy() noexcept override
    {
        delete this;
    }

    nvinfer1::IPluginV2Ext* clone() const noexcept override
    {
        auto* copy = new (std::nothrow) Plugin(mState);
        if (copy != nullptr)
        {
            copy->setPluginNamespace(mNamespace.c_str());
        }
        return copy;
    }

    void setPluginNamespace(char const* name) noexcept override
    {
        try
        {
            mNamespace = name == nullptr ? "" : name;
        }
        catch (std::exception const& error)
        {
            log(Severity::kERROR, Operation::kName, error.what());
        }
    }

    char const* getPluginNamespace() const noexcept override
    {
        return mNamespace.c_str();
    }

private:
    //! Changes with the meaning of the stored bytes.
    static constexpr uint32_t kLayout = 0x53470001;

    template <typename T>
    void launch(int32_t batch, void const* input, void* output, cudaStream_t stream) const
    {
        Operation::template launch<T>(mState.fields, batch, mState.input, mState.output, static_cast<T const*>(input),
            static_cast<T*>(output), stream);
    }

    bool checkedShape(nvinfer1::Dims const& input, nvinfer1::Dims& output) const noexcept
    {
        try
        {
            bool known = input.nbDims >= 0 && input.nbDims <= nvinfer1::Dims::MAX_DIMS;
            for (int32_t i = 0; known && i < input.nbDims; ++i)
            {
                known = input.d[i] > 0;
            }
            std::string const why = known ? Operation::shape(mState.fields, input, output)
                                          : std::string("the input's shape is not known; expected lengths of 1 at least");
            if (!why.empty())
            {
                log(Severity::kERROR, Operation::kName, why);
            }
            return why.empty();
        }
        catch (std::exception const& error)
        {
            log(Severity::kERROR, Operation::kName, error.what());
            return false;
        }
    }

    static bool equal(nvinfer1::Dims const& a, nvinfer1::Dims const& b) noexcept
    {
        bool same = a.nbDims == b.nbDims;
        for (int32_t i = 0; same && i < a.nbDims; ++i)
        {
            same = a.d[i] == b.d[i];
        }
        return same;
    }

    //! Return the shape without what stands behind its last axis, so that equal plugins have equal bytes.
    static nvinfer1::Dims trimmed(nvinfer1::Dims const& dims) noexcept
    {
        nvinfer1::Dims kept{dims.nbDims, {}};
        for (int32_t i = 0; i < dims.nbDims; ++i)
        {
            kept.d[i] = dims.d[i];
        }
        return kept;
    }

    State mState;
    std::string mNamespace;
};

//! What TensorRT's registry holds of an operation; it remembers nothing of a call.
template <typename Operation>
class Creator final : public nvinfer1::IPluginCreator
{
public:
    Creator()
        : mSpecs(Operation::specs())
    {
        for (auto const& spec : mSpecs)
        {
            mFields.emplace_back(spec.name, nullptr, spec.type, spec.length);
        }
        mCollection.nbFields = static_cast<int32_t>(mFields.size());
        mCollection.fields = mFields.data();
    }

    char const* getPluginName() const noexcept override
    {
        return Operation::kName;
    }

    char const* getPluginVersion() const noexcept override
    {
        return "1";
    }

    nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override
    {
        return &mCollection;
    }

    nvinfer1::IPluginV2* createPlugin(char const*, nvinfer1::PluginFieldCollection const* given) noexcept override
    {
        try
        {
            FieldReader reader(Operation::kName, given, mSpecs);
            typename Plugin<Operation>::State state;
            if (reader.good())
            {
                state.fields = Operation::read(reader);
            }
            return reader.good() ? named(new Plugin<Operation>(state)) : nullptr;
        }
        catch (std::exception const& error)
        {
            log(Severity::kERROR, Operation::kName, error.what());
            return nullptr;
        }
    }

    nvinfer1::IPluginV2* deserializePlugin(char const*, void const* data, size_t length) noexcept override
    {
        return named(Plugin<Operation>::stored(data, length));
    }

    void setPluginNamespace(char const* name) noexcept override
    {
        try
        {
            mNamespace = name == nullptr ? "" : name;
        }
        catch (std::exception const& error)
        {
            log(Severity::kERROR, Operation::kName, error.what());
        }
    }

    char const* getPluginNamespace() const noexcept override
    {
        return mNamespace.c_str();
    }

private:
    nvinfer1::IPluginV2* named(Plugin<Operation>* plugin) const noexcept
    {
        if (plugin != nullptr)
        {
            plugin->setPluginNamespace(mNamespace.c_str());
        }
        return plugin;
    }

    std::vector<FieldSpec> mSpecs;
    std::vector<nvinfer1::PluginField> mFields;
    nvinfer1::PluginFieldCollection mCollection{};
    std::string mNamespace;
};

} // namespace surgeon
